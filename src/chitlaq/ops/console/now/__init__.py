"""The first screen: what is wrong, what members feel, what to do now."""
