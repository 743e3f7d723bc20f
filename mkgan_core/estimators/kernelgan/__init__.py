"""KernelGAN (Bell-Kligler, Shocher & Irani, NeurIPS 2019): the kernel that preserves patches across scales."""
