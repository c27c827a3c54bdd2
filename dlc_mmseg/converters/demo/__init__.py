"""The drawn demo data: two towns with labels, in the folder layout of ISPRS Potsdam and Vaihingen."""
