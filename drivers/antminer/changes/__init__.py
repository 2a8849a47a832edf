"""What can be done to an AntMiner: a module for each kind of change, which plans it, makes it once and looks again."""
