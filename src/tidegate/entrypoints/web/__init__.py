"""The desk: what waits for people, and what led there, on one page."""
