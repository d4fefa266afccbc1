"""What holds a pod's start back until the cache can be reached, for a while: `mlapi wait`."""
