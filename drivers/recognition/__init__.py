"""Who answers at an address: one decision tree for all makes."""
