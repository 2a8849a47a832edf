"""What can be done to a WhatsMiner: a module for each kind of change, which plans it, makes it once and looks again."""
