"""The screen: knows the model and a Feed, never the kernel. The only room that imports textual."""
