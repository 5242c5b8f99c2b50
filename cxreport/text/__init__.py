"""Report text: words, rules that read findings off sentences, labels, and how papers cut sections into words."""
