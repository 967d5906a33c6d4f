"""What is stored of welcome books: revisions, drafts, files."""
