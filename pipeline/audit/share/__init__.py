"""How many labels are wrong: which to ask people about, and what their answers say of all."""
