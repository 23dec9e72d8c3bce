"""What changes on a page while somebody looks at it: HTML in pieces, made alike by web and by the stream process."""
