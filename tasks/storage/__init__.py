"""Redis: connections and scripts, the names of all keys, the embedded server, and why a server cannot be used."""
