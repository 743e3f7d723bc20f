"""KernelGAN (Bell-Kligler, Shocher & Irani, NeurIPS 2019): the kernel that keeps patches alike across scales."""
