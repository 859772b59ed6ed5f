"""What the runtime adds around its engine, and what it does when frames come faster than it can segment them."""
