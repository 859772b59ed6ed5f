"""Whether the world still looks as it did when the network was adapted."""
