"""The suites. A package, because some installed distribution is called `tests` too."""
