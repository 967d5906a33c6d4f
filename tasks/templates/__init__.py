"""The welcome book: its model, parsing, rules, rendering and editing. All pure; tasks.books stores it."""
