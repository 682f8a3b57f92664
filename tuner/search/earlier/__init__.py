"""What earlier runs, named by `search.warm_start`, say to this one: their shape, never their level."""
