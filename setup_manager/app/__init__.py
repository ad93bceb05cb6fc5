"""What the program does, one verb a module: plan(request), then run(plan).

May import: session and every room below.
Invariant: nothing here prints, asks, exits or reads the environment.
"""
