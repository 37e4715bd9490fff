"""Other people's APIs. Each module needs its package and is imported only when asked for: nothing here imports them."""
