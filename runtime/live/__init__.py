"""What people and monitoring systems see of a running loop."""
