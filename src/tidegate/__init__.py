"""Tidegate: a model lifecycle platform whose gates open on evidence, policy and people."""

__version__ = "0.1.0"
