"""Charts as inline SVG, which takes its colours from the page and grows with it."""
