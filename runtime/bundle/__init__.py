"""What a bundle says about itself, and how it is read, trusted and chosen from."""
