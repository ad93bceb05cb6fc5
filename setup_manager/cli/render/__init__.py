"""All text for people: one module a verb or a shared piece; values in, strings out.

May import: the results of `app`, and everything below it.
Invariant: nothing here prints, asks or reads the environment.
"""
