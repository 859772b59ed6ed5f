"""Loss terms as functions of tensors, and the means of classes that some of them compare with."""
