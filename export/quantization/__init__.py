"""Integers for a network, chosen and judged on unlabelled target frames."""
