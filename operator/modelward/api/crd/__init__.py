"""CustomResourceDefinitions, made from the types of modelward.api."""
