"""Who may do what in the console: roles of members and departments, and the members themselves, as WeCom tells them."""
