"""Crash replays on a local Anvil: scenarios, worlds, books, pages.

Needs the `ape` and `lab` extras.
"""
