"""WeCom's callback: path, envelope, document, what is done with a push, and what is told of refused ones."""
