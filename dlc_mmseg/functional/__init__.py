"""Pure maths of the method: tensors and arrays in, tensors and arrays out."""
