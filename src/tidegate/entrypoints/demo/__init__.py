"""The main job: the reference project through the year 2013."""

from tidegate.entrypoints.demo.play import play

__all__ = ["play"]
