"""What an artefact must prove before it is in a bundle."""
