"""Evidently: drift, realised performance and missing data of one period."""

from tidegate.adapters.evidently_monitor.monitors import EvidentlyMonitors

__all__ = ["EvidentlyMonitors"]
