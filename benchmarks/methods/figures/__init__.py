"""From what cells found to the figures of tables, with what chance could have done."""
