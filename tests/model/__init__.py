"""A model of everything around the engine, so that its real code runs through schedules that no real run would meet.

A *schedule* is drawn from its seed: some messages, a few lanes, processes that are killed and frozen, a clock, a mail
server that refuses, hangs and loses replies, a Redis that forgets. Time is virtual and only one actor runs at a time,
so that a seed replays exactly: `python -m tests.model SEED` prints what happened, step by step.

- `laboratory`: the application on a database of its own, and everything that is put in place of the outside.
- `connection`: the database's connections, at which drains are stopped, killed and watched.
- `surroundings`: time and Redis. `server`: the mail server. `plan`: what a schedule may meet.
- `world`: who runs when. `promises`: what must hold after each commit, at each final dot and at the end.
- `mutations`: faults that are put into the real code to see that they are found.
"""
