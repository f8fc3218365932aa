"""Tests of the ft command, in memory."""
