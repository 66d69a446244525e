"""OpenCV where there is no OpenGL."""

raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
