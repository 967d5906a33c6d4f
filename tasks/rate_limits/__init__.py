"""WeCom's rate limits, kept by all processes together: how many calls of an API may begin, and who waits."""
