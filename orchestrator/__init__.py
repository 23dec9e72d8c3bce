"""Records releases and ships them to environments."""
