"""MicroBT's WhatsMiner, in every dialect its firmware has spoken."""
