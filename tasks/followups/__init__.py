"""What is done after the greeting: tags and the remark."""
