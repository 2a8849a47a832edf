"""What the replies of a WhatsMiner mean, in SI units."""
