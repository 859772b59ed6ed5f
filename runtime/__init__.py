"""Serves an exported bundle on a vehicle: numpy, pydantic and one inference engine, never torch."""
