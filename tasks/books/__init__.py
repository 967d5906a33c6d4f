"""Storage of welcome books: revisions, drafts, files."""
