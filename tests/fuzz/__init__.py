"""Fuzzing: what anybody may have written, thrown at what reads it, by the hundred thousand.

An input is a string of bytes, and a target a plain function that takes one: `Source` turns the bytes into choices,
so that fewer or smaller bytes are a simpler input, and any engine that makes bytes can drive a target. What a
target checks is said in its docstring; that nothing is raised but what callers expect is the least of it.
"""
